"""The XML Schema (1.0) of a job.xml, made from the table of elements, for editors that complete and check while typing.

A schema says less than the checker: it knows neither that an element comes twice nor that two contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lxml import etree

from job_xml.elements import GROUPS, JOB, Element, Group, Type

_XS = "http://www.w3.org/2001/XMLSchema"
_SPACE = r"\s*"
_FLAG = _SPACE + r"([+\-]?(0[xX][0-9A-Fa-f]+|0[0-7]*|[1-9][0-9]*))?" + _SPACE
_SWITCH = _SPACE + "[01]?" + _SPACE
_DECIMAL = _SPACE + r"\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+\-]?[0-9]+)?" + _SPACE
#: Parts between slashes, none of which is ".." or made of dots and spaces; then: no drive in front.
_INSIDE = r"\s*((\./)*([^/\\]*[^/\\. ][^/\\]*/+(\./)*)*[^/\\]*[^/\\. ][^/\\]*)?\s*"
_NO_DRIVE = r"\s*([^A-Za-z\s].*|[A-Za-z]([^:].*)?)?"


def document() -> str:
    """The schema as text."""
    root = etree.Element(f"{{{_XS}}}schema", nsmap={"xs": _XS}, attrib={"elementFormDefault": "qualified"})
    _explain(root, "The job.xml of BOINC's wrapper and of VM Controller. Made by `job-xml schema`; do not edit.")
    job = _add(root, "element", name="job_desc", type="job_desc")
    _explain(job, "A job: its tasks, run one after the other.")
    _complex_type(root, "job_desc", (*GROUPS.values(), *JOB.values()))
    for name, members in _complex_types().items():
        _complex_type(root, name, members.values())
    for name, patterns in _SIMPLE_TYPES.items():
        _simple_type(root, name, patterns)
    etree.indent(root, "  ")
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True).decode("utf-8")


def _complex_types() -> dict[str, Mapping[str, Element]]:
    """Groups with the same members have the same type, named after the first of them."""
    return {_type_name(group): group.members for group in GROUPS.values()}


def _type_name(group: Group) -> str:
    return next(other.name for other in GROUPS.values() if other.members is group.members)


_SIMPLE_TYPES: Mapping[str, tuple[str, ...]] = {
    "flag": (_FLAG,),
    "switch": (_SWITCH,),
    "insideName": (_INSIDE, _NO_DRIVE),
}


def _simple_type(root: etree._Element, name: str, patterns: Iterable[str]) -> None:
    """A text that all of the patterns match: each restricts the type before it."""
    base = "xs:string"
    for number, pattern in enumerate(patterns):
        step = name if number == 0 else f"{name}{number + 1}"
        restriction = _add(_add(root, "simpleType", name=step), "restriction", base=base)
        _add(restriction, "pattern", value=pattern)
        base = step


def _complex_type(root: etree._Element, name: str, members: Iterable[Element | Group]) -> None:
    """Its members in any order: that they come once at most, a choice cannot say."""
    choice = _add(_add(root, "complexType", name=name), "choice", minOccurs="0", maxOccurs="unbounded")
    for member in members:
        one = _add(choice, "element", name=member.name)
        if isinstance(member, Group):
            _explain(one, member.meaning)
            one.set("type", _type_name(member))
        else:
            _explain(one, f"{member.meaning} In a VM: {member.in_vm}" if member.in_vm else member.meaning)
            _restrict(one, member)


def _restrict(parent: etree._Element, element: Element) -> None:
    if element.type is Type.FLAG:
        parent.set("type", "flag")
    elif element.type is Type.SWITCH:
        parent.set("type", "switch")
    elif element.type is Type.NAME and element.of_vm:
        parent.set("type", f"insideName{len(_SIMPLE_TYPES['insideName'])}")
    elif element.type in (Type.TEXT, Type.NAME):
        _text(parent, element)
    else:
        _number(parent, element)


def _text(parent: etree._Element, element: Element) -> None:
    restriction = _add(_add(parent, "simpleType"), "restriction", base="xs:string")
    _add(restriction, "maxLength", value=str(element.room - 1))


def _number(parent: etree._Element, element: Element) -> None:
    base = "xs:integer" if element.type is Type.INTEGER else "xs:double"
    restriction = _add(_add(parent, "simpleType"), "restriction", base=base)
    if element.type is Type.NUMBER:
        _add(restriction, "pattern", value=_DECIMAL)
    if element.range:
        least, most = element.range
        _add(restriction, "minInclusive", value=f"{least:.0f}")
        if most != float("inf"):
            _add(restriction, "maxInclusive", value=f"{most:.0f}")


def _explain(parent: etree._Element, text: str) -> None:
    _add(_add(parent, "annotation"), "documentation").text = text


def _add(parent: etree._Element, tag: str, /, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{_XS}}}{tag}", attrib=attributes)
