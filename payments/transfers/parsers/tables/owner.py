"""Whose account a table is about, and which numbers in it are virtual accounts below that one."""

from collections.abc import Collection, Mapping

from payments.transfers.parsers.refusals import DamagedFile

MAX_UNIT_DIGITS = 10  # of a virtual account, behind the number of its parent


class Owner:
    """The account as the file's head says, or ours, or the one all in its first rows are below.

    `own` is None when the file does not tell: no row names one, or only virtual accounts do.
    """

    def __init__(
        self,
        numbers: Mapping[str, int],
        *,
        said: str | None,
        ours: Collection[str],
        names_itself: bool,
    ) -> None:
        """`numbers` are those of the first rows, each with the row that has it first.

        Raises DamagedFile when rows belong to accounts that have nothing to do with each other.
        """
        self.names_itself = names_itself
        self.own = said
        self.units: str | None = None  # what virtual accounts begin with, their parent unknown
        if not numbers:
            return
        own = self.own = said or _known(numbers, ours) or min(numbers, key=len)
        alien = [number for number in numbers if not _is_below(number, own)]
        stem = own[:-MAX_UNIT_DIGITS]
        if alien and said is None and len(stem) >= 8 and all(n.startswith(stem) for n in alien):
            self.own, self.units = None, stem
        elif alien and names_itself:
            raise self._not_ours(alien[0], numbers[alien[0]])
        elif alien:
            self.own = said

    def virtual(self, account: str, row: int) -> str | None:
        """The number itself when it is a virtual account's; None when it is our own.

        Raises DamagedFile when the row is about an account that is neither.
        """
        own = self.own
        if own is not None:
            if _is_below(account, own):
                return None if account == own else account
            if self.names_itself:
                raise self._not_ours(account, row)
            return None
        if self.units is not None:
            if not account.startswith(self.units):
                raise self._not_ours(account, row)
            if len(account) <= len(self.units):
                raise DamagedFile(f"第 {row} 行是主账号 {account}，之前只有它的子账号", row=row)
        return account

    def _not_ours(self, account: str, row: int) -> DamagedFile:
        other = self.own or f"{self.units}…"
        return DamagedFile(
            f"第 {row} 行的账号 {account} 不属于账户 {other}，请按账户分别导出", row=row
        )


def _known(numbers: Collection[str], ours: Collection[str]) -> str | None:
    """The longest of our accounts that every row's account is, or is below."""
    fits = [one for one in ours if one and all(_is_below(number, one) for number in numbers)]
    return max(fits, key=len, default=None)


def _is_below(number: str, parent: str) -> bool:
    return number.startswith(parent) and len(number) - len(parent) <= MAX_UNIT_DIGITS
