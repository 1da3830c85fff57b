"""Public numbers: what leaves the house instead of primary keys."""

import secrets

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # 31 signs: no 0 O 1 I L
LENGTH = 12  # 59 bits: cannot be guessed, does not tell how many there are


def fresh(prefix: str, length: int = LENGTH) -> str:
    """A number a person can read over the phone; its last sign checks the others."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(length))
    return prefix + body + _check(body)


def fresh_many(prefix: str, count: int) -> list[str]:
    """As `fresh`, a hundred thousand a second: a file of lines takes as many numbers at once."""
    noise = secrets.token_bytes(count * 16)
    found = []
    for i in range(0, len(noise), 16):
        rest = int.from_bytes(noise[i : i + 16], "little")
        body = ""
        for _ in range(LENGTH):
            rest, place = divmod(rest, len(ALPHABET))
            body += ALPHABET[place]
        found.append(prefix + body + _check(body))
    return found


def is_sound(number: str, prefix_length: int = 1) -> bool:
    """Whether the check sign fits: any one wrong sign and any swapped neighbours are noticed."""
    body, check = number[prefix_length:-1], number[-1:]
    return bool(body) and set(body) <= set(ALPHABET) and check == _check(body)


def _check(body: str) -> str:
    # 31 is prime and the weights 1…30 differ, so single errors and swaps change the sum.
    return ALPHABET[sum(i * ALPHABET.index(sign) for i, sign in enumerate(body, 1)) % len(ALPHABET)]


def mod97_digits(payload: int, width: int) -> str:
    """`payload` as `width` digits and two check digits (ISO 7064 MOD 97-10)."""
    return f"{payload:0{width}d}{98 - payload * 100 % 97:02d}"


def is_mod97(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and int(digits) % 97 == 1
