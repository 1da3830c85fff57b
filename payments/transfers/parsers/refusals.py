"""Why a file is not taken.  Each refuses the whole file: half a statement is a wrong one."""

from config.kit.errors import Refusal


class Unreadable(Refusal):
    """The base of all; the message names row, column and reason as far as they are known."""

    status = 422
    message = "文件无法读取"


class EmptyFile(Unreadable):
    message = "文件是空的"


class FileTooLarge(Unreadable):
    status = 413
    message = "文件太大；请缩短日期范围分次导出，或改为导出 CSV"


class WrongEncoding(Unreadable):
    message = "文件编码有误：既不是完整的 UTF-8，也不是 GB18030 或 UTF-16"


class UnknownFormat(Unreadable):
    message = "不认识的文件格式"


class UnsupportedStatement(Unreadable):
    """A known kind of file that a shop cannot be paid by; details: kind."""

    message = "暂不支持的文件格式"


class NotBooked(Unreadable):
    """Forecasts, intraday reports and notifications: money that the bank has not booked yet."""

    message = "文件里不是已入账的明细"


class DamagedFile(Unreadable):
    message = "文件不完整或已损坏"


class BadCell(Unreadable):
    """One value cannot be understood; details: row, column."""

    message = "单元格内容有误"


class Unbalanced(Unreadable):
    """Opening balance, rows and closing balance disagree; details: row, when one row breaks it."""

    message = "余额对不上"


class CountsDiffer(Unreadable):
    """The file's own counts or totals disagree with its rows."""

    message = "笔数或合计与文件自己的声明不符"


class SerialTwice(Unreadable):
    """One bank serial on two rows; details: serial, rows."""

    message = "流水号重复"


class ExpandsTooFar(Unreadable):
    """A small file that unpacks into a huge one."""

    message = "文件解压后过大"


class BadColumns(Unreadable):
    """A column map that names no amount, no day, or a role that does not exist."""

    message = "列的对应关系不完整"


class EntitiesForbidden(Unreadable):
    message = "XML 文件含有 DTD 或实体声明，已拒绝"
