"""What the environment says of payment channels, banks and the carrier, for `config.settings`.

Whatever is said by half, or must not be so in production, stops the start with one line.
"""

from typing import Any

from config.environment import file_text, file_text_at, names, optional, stop, text

WECHAT_PAY_URL = "https://api.mch.weixin.qq.com"
ALIPAY_URL = "https://openapi.alipay.com/gateway.do"


def wechat_pay(public_url: str, *, is_production: bool) -> dict[str, Any]:
    """WeChat Pay, where the installation has a merchant number; else {}.

    Key files, and at least one of the two kinds of WeChat's own keys; during a change of keys both.
    """
    if not optional("WECHAT_PAY_MCHID"):
        return {}
    public_key_id = optional("WECHAT_PAY_PUBLIC_KEY_ID")
    told: dict[str, Any] = {
        "mchid": text("WECHAT_PAY_MCHID"),
        "base_url": text("WECHAT_PAY_URL", WECHAT_PAY_URL),
        "notify_url": f"{public_url}/api/v1/hooks/wechat-pay",
        "merchant_certificate": file_text("WECHAT_PAY_CERTIFICATE"),
        "private_key": file_text("WECHAT_PAY_PRIVATE_KEY"),
        "apiv3_key": file_text("WECHAT_PAY_API_KEY").strip(),
        "certificates": [
            file_text_at("WECHAT_PAY_PLATFORM_CERTIFICATES", path)
            for path in names("WECHAT_PAY_PLATFORM_CERTIFICATES")
        ],
        "public_keys": (
            {public_key_id: file_text("WECHAT_PAY_PUBLIC_KEY")} if public_key_id else {}
        ),
        # Which of our other accounts there have bills: OPERATION (transfers to people), FEES.
        "accounts": names("WECHAT_PAY_ACCOUNTS"),
    }
    if unknown := set(told["accounts"]) - {"OPERATION", "FEES"}:
        stop(f"WECHAT_PAY_ACCOUNTS: OPERATION and FEES, not {', '.join(sorted(unknown))}")
    if optional("WECHAT_PAY_TRANSFER_SCENE"):
        told["transfers"] = _transfers()
    if len(told["apiv3_key"]) != 32:
        stop("WECHAT_PAY_API_KEY: the key has 32 signs")
    if not told["certificates"] and not told["public_keys"]:
        stop("WECHAT_PAY_PUBLIC_KEY_ID or WECHAT_PAY_PLATFORM_CERTIFICATES must be set")
    if is_production and told["base_url"] != WECHAT_PAY_URL:
        stop("WECHAT_PAY_URL must not be set in production")
    return told


def _transfers() -> dict[str, Any]:
    """Transfers to people (商家转账): the scene that WeChat approved, and what it wants told."""
    said = (one.partition("=") for one in names("WECHAT_PAY_TRANSFER_REPORTS"))
    reports = [{"info_type": kind, "info_content": content} for kind, _, content in said]
    if not reports:
        stop("WECHAT_PAY_TRANSFER_REPORTS must be set with WECHAT_PAY_TRANSFER_SCENE")
    return {"scene": text("WECHAT_PAY_TRANSFER_SCENE"), "reports": reports}


def alipay(public_url: str, *, is_production: bool) -> dict[str, str]:
    """Alipay, where the installation has an app there; else {}.

    Keys as files, PEM or as its console gives them.
    """
    if not optional("ALIPAY_APP_ID"):
        return {}
    told = {
        "app_id": text("ALIPAY_APP_ID"),
        "seller_id": text("ALIPAY_SELLER_ID"),
        "gateway": text("ALIPAY_URL", ALIPAY_URL),
        "notify_url": f"{public_url}/api/v1/hooks/alipay",
        "private_key": file_text("ALIPAY_PRIVATE_KEY"),
        "public_key": file_text("ALIPAY_PUBLIC_KEY"),
    }
    if is_production and told["gateway"] != ALIPAY_URL:
        stop("ALIPAY_URL must not be set in production")
    return told


def banks(*, is_production: bool) -> dict[str, dict[str, Any]]:
    """Banks that push and pay out: BANK_<NAME>_URL and two PEM files each."""
    told: dict[str, dict[str, Any]] = {
        name: {
            "base_url": text(f"BANK_{name.upper()}_URL"),
            "public_key": file_text(f"BANK_{name.upper()}_PUBLIC_KEY"),
            "private_key": file_text(f"BANK_{name.upper()}_PRIVATE_KEY"),
            "can": names(f"BANK_{name.upper()}_CAN"),
        }
        for name in names("BANKS")
    }
    for name, bank in told.items():
        if unknown := set(bank["can"]) - {"limits", "statements"}:
            said = ", ".join(sorted(unknown))
            stop(f"BANK_{name.upper()}_CAN: limits and statements, not {said}")
    if is_production and "sandbox" in told:
        stop("BANKS must not name the sandbox in production")
    return told


def carrier(*, is_production: bool) -> tuple[str, dict[str, str]]:
    """Where held money legally lies (二清): the dotted name of what gives a Carrier.

    Of `payments.carrier.protocol`; "" is off, and then wallets, deposits and the guarantee lack a
    licensed carrier.  With it what the sandbox's needs.
    """
    name = optional("CARRIER")
    if name != "sandbox":
        return name, {}
    if is_production:
        stop("CARRIER must not be the sandbox in production")
    return "payments.carrier.signed.carrier", {
        "base_url": text("CARRIER_URL"),
        "public_key": file_text("CARRIER_PUBLIC_KEY"),
        "private_key": file_text("CARRIER_PRIVATE_KEY"),
    }
