from __future__ import annotations

import base64
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.admin.importing.found import SourceInvalid
from leadglass.admin.importing.ldif import (
    MAX_ENTRIES,
    MAX_ENTRY_LINES,
    MAX_LINE_CHARACTERS,
    MAX_RDNS,
    parse_dn,
    parse_ldif,
)


def test_folded_lines_comments_and_base64_read_as_what_they_mean() -> None:
    text = (
        "version: 1\r\n# a comment\r\n  that goes on\r\ndn: cn=a,\r\n dc=org\r\ncn:: w6TDtg==\r\n"
        "userCertificate;binary:: //79\r\nempty:\r\ndescription;lang-de: eins\r\n zwei\r\n\r\n\r\n"
        "dn:: Y249YixkYz1vcmc=\nCN: b\nchangetype: add\n"
    )
    one, other = parse_ldif(text, "x.ldif")
    assert (one.dn, one.line) == (("cn=a", "dc=org"), 4)
    assert one.attributes == {"cn": ("äö",), "empty": ("",), "description": ("einszwei",)}
    assert (other.dn, other.first("cn"), other.first("none")) == (("cn=b", "dc=org"), "b", "")
    assert other.parent == ("dc=org",)


def test_passwords_are_not_kept() -> None:
    secrets = ("userPassword", "dcmKeyStorePin", "clientSecret", "hl7Password")
    lines = "".join(f"{name}: s3cret\n" for name in secrets)
    (entry,) = parse_ldif(f"dn: cn=a\ncn: a\n{lines}", "x.ldif")
    assert entry.attributes == {"cn": ("a",)}


def test_how_ldapsearch_ends_is_no_entry() -> None:
    assert len(parse_ldif("dn: cn=a\ncn: a\n\n# search result\nsearch: 2\nresult: 0 Success\n", "x")) == 1


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (" cn: a\n", 1, "goes on that was never begun"),
        ("dn: cn=a\ncn: a\n\n b\n", 4, "goes on that was never begun"),
        ("version: 2\n", 1, "LDIF version"),
        ("dn: cn=a\nno colon\n", 2, "neither"),
        ("dn: cn=a\ncn:: !!\n", 2, "not base64"),
        ("dn: cn=a\njpeg:< file:///etc/passwd\n", 2, "not read"),
        ("dn: cn=a\nchangetype: modify\nreplace: cn\n", 2, "a change"),
        ("dn: cn=a\ncontrol: 1.2 true\n", 2, "a control"),
        ("dn: cn=a\ndn: cn=b\n", 2, "a second dn"),
        ("cn: a\n", 1, "without a dn"),
        ("dn: a\n", 1, "not a distinguished name"),
        ("dn: cn=a\\\n", 1, "not a distinguished name"),
        ("dn: cn=\\ff\n", 1, "not a distinguished name"),
        ("dn: " + "cn=a," * MAX_RDNS + "cn=a", 1, "too many parts"),
        ("dn: cn=a\ncn: " + "a" * MAX_LINE_CHARACTERS, 2, "a line of more than"),
        ("dn: cn=a\n\n" * (MAX_ENTRIES + 1), 2 * MAX_ENTRIES + 1, "more than 100000 entries"),
        ("dn: cn=a\n" + "cn: a\n" * MAX_ENTRY_LINES, MAX_ENTRY_LINES + 1, "an entry of more than"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(SourceInvalid) as refused:
        parse_ldif(text, "x.ldif")
    assert str(refused.value).startswith(f"x.ldif:{line}: ")
    assert says in str(refused.value)


@given(st.text() | st.text(alphabet="dnc:=,\\ \n#<a1A"))
def test_whatever_stands_in_a_file_is_read_or_refused_with_its_line(text: str) -> None:
    said = "x.ldif:"
    try:
        parse_ldif(text, "x.ldif")
    except SourceInvalid as error:
        said = str(error)
    assert said.startswith("x.ldif:")


@given(st.text(min_size=1), st.integers(2, 76))
def test_any_text_survives_base64_and_folding(value: str, width: int) -> None:
    row = f"cn:: {base64.b64encode(value.encode('utf-8', 'replace')).decode()}"
    folded = "\n ".join(textwrap.wrap(row, width, break_on_hyphens=False, drop_whitespace=False))
    (entry,) = parse_ldif(f"dn: cn=a\n{folded}\n", "x.ldif")
    assert entry.first("cn") == value.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("text", ["cn=A\\, B, DC=org", "CN = a\\2c b,dc = org", "cn=a\\2C\\20B,dc=ORG"])
def test_names_that_mean_the_same_are_the_same(text: str) -> None:
    assert parse_dn(text) == ("cn=a, b", "dc=org")
