"""One Ntry of a CAMT message and the rows it becomes; a batch that adds up is one per detail."""

import re
from datetime import datetime
from xml.etree.ElementTree import Element

from payments.transfers.parsers.cells import SHANGHAI, original, perhaps_taken_back, plausible
from payments.transfers.parsers.refusals import BadCell
from payments.transfers.parsers.statement import Row, yuan

_AMOUNT = re.compile(r"(\d{1,15})(?:\.(\d{1,2})0*)?", re.ASCII)
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}
_NO_REFERENCE = frozenset({"", "NOTPROVIDED", "NONREF"})


class Entry:
    """One booked Ntry and the rows it becomes."""

    def __init__(
        self, element: Element, *, account: str, currency: str, fen: int, ordinal: int
    ) -> None:
        where = f"第 {ordinal} 笔（Ntry）"
        self.element = element
        self.account = account
        self.currency = currency
        self.fen = fen
        self.ordinal = ordinal
        self.reference = text_of(element, "AcctSvcrRef") or None
        said = text_of(element, "RvslInd") or "false"
        if said not in _BOOLEAN:
            raise BadCell(f"{where}的 RvslInd“{said[:20]}”无法识别", row=ordinal, column="RvslInd")
        self.is_reversal = _BOOLEAN[said]
        self.booked_at = _moment(element, where)

    def rows(self, details: list[Element]) -> list[Row]:
        if len(details) < 2:
            return [self._single(details)]
        amounts = [_detail_amount(one) for one in details]
        same = [fen for fen, currency in amounts if fen and currency == self.currency]
        if len(same) != len(details) or sum(same) != abs(self.fen):
            return [self._row(None, self.fen, self.reference, "批量明细与入账金额不符，请人工核对")]
        sign = -1 if self.fen < 0 else 1
        references = self._references(details)
        return [
            self._row(one, sign * fen, reference, "")
            for one, fen, reference in zip(details, same, references, strict=True)
        ]

    def _single(self, details: list[Element]) -> Row:
        count = text_of(self.element, "NtryDtls/Btch/NbOfTxs")
        if not details:
            batch = bool(count) and count != "1"
            caution = f"批量入账共 {count} 笔，文件没有明细，请人工核对" if batch else ""
            return self._row(None, self.fen, self.reference, caution)
        fen, currency = _detail_amount(details[0])
        differs = fen is not None and currency == self.currency and fen != abs(self.fen)
        caution = f"明细金额 {yuan(fen or 0)} 与入账金额不符，已按入账金额" if differs else ""
        own = text_of(details[0], "Refs/AcctSvcrRef") or self.reference
        return self._row(details[0], self.fen, own, caution)

    def _references(self, details: list[Element]) -> list[str | None]:
        own = [text_of(one, "Refs/AcctSvcrRef") for one in details]
        if all(own) and len(set(own)) == len(own):
            return list(own)
        # Some banks repeat the batch's reference on every detail, or give none.
        base = self.reference
        return [f"{base}#{i}" if base else None for i in range(1, len(details) + 1)]

    def _row(self, detail: Element | None, fen: int, serial: str | None, caution: str) -> Row:
        element = self.element if detail is None else detail
        # A return has its reason in RtrInf, whether or not the bank calls it a reversal.
        is_reversal = self.is_reversal or element.find("RtrInf") is not None
        other, own = self._sides(element, is_reversal=is_reversal)
        remark = "".join(_texts(element, "RmtInf/Ustrd"))
        texts = (
            *_texts(element, "RmtInf/Ustrd"),
            *_texts(element, "RmtInf/Strd/CdtrRefInf/Ref"),
            *_texts(element, "Refs/EndToEndId"),
            *_texts(element, "AddtlTxInf"),
            *_texts(element, "RtrInf/AddtlInf"),
            *_texts(self.element, "AddtlNtryInf"),
        )
        texts = tuple(text for text in texts if text != "NOTPROVIDED")
        virtual = _account(element, f"RltdPties/{own}Acct")
        return Row(
            serial=serial,
            booked_at=self.booked_at,
            amount_fen=fen,
            currency=self.currency,
            balance_fen=None,
            payer_name=_party(element, other),
            payer_account=_account(element, f"RltdPties/{other}Acct"),
            payer_bank=_agent(element, f"RltdAgts/{other}Agt/FinInstnId"),
            remark=remark or next(iter(texts), ""),
            texts=texts,
            virtual_account=virtual if virtual not in {"", self.account} else None,
            is_reversal=is_reversal,
            reverses=_original(element, texts, serial) if is_reversal else None,
            position=self.ordinal,
            account_no=self.account,
            caution=caution or ("" if is_reversal else perhaps_taken_back(fen, texts)),
        )

    def _sides(self, element: Element, *, is_reversal: bool) -> tuple[str, str]:
        """(the other side, ours); a reversal keeps the parties of what it takes back."""
        sides = ("Dbtr", "Cdtr") if (self.fen > 0) != is_reversal else ("Cdtr", "Dbtr")
        # Not every bank does: our own account on the other side says so.
        if _account(element, f"RltdPties/{sides[0]}Acct") == self.account:
            return sides[1], sides[0]
        return sides


def _original(element: Element, texts: tuple[str, ...], serial: str | None) -> str | None:
    """What a reversal takes back, as the bank's words or its references name it."""
    if named := original(texts):
        return named
    references = (text_of(element, f"Refs/{name}") for name in ("InstrId", "EndToEndId", "TxId"))
    return next((one for one in references if one not in _NO_REFERENCE | {serial}), None)


def _party(element: Element, side: str) -> str:
    return text_of(element, f"RltdPties/{side}/Nm") or text_of(element, f"RltdPties/{side}/Pty/Nm")


def _texts(element: Element, path: str) -> list[str]:
    return [text for one in element.findall(path) if (text := (one.text or "").strip())]


def text_of(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _account(element: Element, path: str) -> str:
    return text_of(element, f"{path}/Id/IBAN") or text_of(element, f"{path}/Id/Othr/Id")


def _agent(element: Element, path: str) -> str:
    names = (text_of(element, f"{path}/{name}") for name in ("Nm", "BICFI", "BIC"))
    return next((name for name in names if name), "")


def fen_of(text: str, where: str) -> int:
    found = _AMOUNT.fullmatch(text)
    if not found:
        raise BadCell(f"{where}的金额“{text[:40]}”无法识别", column="Amt")
    return int(found[1] + ((found[2] or "") + "00")[:2])


def amount_of(element: Element, where: str) -> tuple[int, str]:
    found = element.findall("Amt")
    if len(found) != 1:
        raise BadCell(f"{where}应有且只有一个金额（Amt）", column="Amt")
    currency = found[0].get("Ccy", "")
    if len(currency) != 3:
        raise BadCell(f"{where}的金额没有币种（Ccy）", column="Amt")
    return fen_of((found[0].text or "").strip(), where), currency


def _detail_amount(element: Element) -> tuple[int | None, str]:
    """A detail's amount where its version keeps it; None when it is not one we can read."""
    for path in ("Amt", "AmtDtls/TxAmt/Amt"):
        for one in element.findall(path):
            found = _AMOUNT.fullmatch((one.text or "").strip())
            if found:
                return int(found[1] + ((found[2] or "") + "00")[:2]), one.get("Ccy", "")
    return None, ""


def sign_of(element: Element, where: str) -> int:
    said = text_of(element, "CdtDbtInd")
    if said not in {"CRDT", "DBIT"}:
        raise BadCell(f"{where}的借贷方向“{said[:20]}”无法识别", column="CdtDbtInd")
    return 1 if said == "CRDT" else -1


def _moment(element: Element, where: str) -> datetime:
    text = text_of(element, "BookgDt/DtTm") or text_of(element, "BookgDt/Dt")
    try:
        found = datetime.fromisoformat(text)
        return plausible(found if found.tzinfo else found.replace(tzinfo=SHANGHAI))
    except ValueError:
        raise BadCell(f"{where}的入账日期“{text[:40]}”无法识别", column="BookgDt") from None
