"""How the text of an answer is read: what is signed is exactly what stands there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.channels.alipay import _members, _said
from payments.channels.answers import ChannelRefused, ChannelSilent

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(inner=st.dictionaries(st.text(), values), sign=st.text(), first=st.booleans())
def test_the_text_of_a_member_is_what_stands_there(inner, sign, first):
    text = json.dumps(inner, ensure_ascii=False).replace("/", "\\/")
    parts = [f'"x_response": {text}', f'"sign":{json.dumps(sign)}']

    found = _members("{" + ",".join(parts if first else parts[::-1]) + "}")

    assert found["x_response"][1] == text
    assert found["sign"][0] == sign


@given(st.text())
def test_what_is_no_object_is_a_value_error(text):
    try:
        found = _members(text)
    except ValueError:
        return
    assert set(found) == set(json.loads(text))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a":1', '{"a":1,}', '{"a":1,"a":2}', '{"a":1]', '{"a" 1}', "{1:2}", '"a"'],
)
def test_half_an_answer_is_none(text):
    with pytest.raises(ValueError, match=r"object|member|Expecting|Unterminated"):
        _members(text)


@pytest.mark.parametrize(
    ("code", "sub_code", "kind"),
    [
        ("40004", "ACQ.TRADE_NOT_EXIST", ChannelRefused),
        ("40002", "isv.invalid-timestamp", ChannelRefused),
        ("40004", "ACQ.SYSTEM_ERROR", ChannelSilent),
        ("40004", "aop.ACQ.SYSTEM_ERROR", ChannelSilent),
        ("20000", "isp.unknow-error", ChannelSilent),
        ("40004", "isp.busy", ChannelSilent),
        ("10003", "", ChannelSilent),
        ("", "", ChannelSilent),
    ],
)
def test_a_refusal_is_one_only_where_nothing_can_have_happened(code, sub_code, kind):
    with pytest.raises(kind):
        _said({"code": code, "sub_code": sub_code})
