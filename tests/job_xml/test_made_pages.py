"""What is made from the table of elements says the same as the table: the reference page and the schema."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from lxml import etree

from job_xml import reference, schema
from job_xml.command import main
from job_xml.elements import GROUPS, JOB, TASK
from job_xml.model import Task, VirtualMachine
from tests.job_xml.reading import in_job, in_task, in_vm

ROOT = Path(__file__).parents[2]
SCHEMA = etree.XMLSchema(etree.fromstring(schema.document().encode()))


def test_the_reference_page_is_up_to_date() -> None:
    """docs/reference/job-xml.md is what `job-xml doc` prints."""
    page = (ROOT / "docs" / "reference" / "job-xml.md").read_text(encoding="utf-8")
    assert page == reference.page(), "run: python -m job_xml doc > docs/reference/job-xml.md"


def test_the_schema_is_up_to_date() -> None:
    """job_xml/schema/job.xsd is what `job-xml schema` prints."""
    document = (ROOT / "job_xml" / "schema" / "job.xsd").read_text(encoding="utf-8")
    assert document == schema.document(), "run: python -m job_xml schema > job_xml/schema/job.xsd"


@pytest.mark.parametrize(("verb", "made"), [("doc", reference.page), ("schema", schema.document)])
def test_the_verbs_print_them(capsys: pytest.CaptureFixture[str], verb: str, made: object) -> None:
    """`job-xml doc` and `job-xml schema` print the page and the schema, and nothing else."""
    assert callable(made)
    assert main([verb]) == 0
    assert capsys.readouterr().out == made()


def test_every_element_has_a_field() -> None:
    """A value that was read has a place to go."""
    of_task = {field.name for field in fields(Task)}
    of_vm = {field.name for field in fields(VirtualMachine)}
    assert {element.field for element in TASK.values() if not element.of_vm} <= of_task
    assert {element.field for element in TASK.values() if element.of_vm} == of_vm


def test_every_element_is_on_the_page() -> None:
    """With its meaning."""
    page = reference.page()
    for element in (*TASK.values(), *JOB.values()):
        assert f"| `{element.name}` |" in page
        assert element.meaning in page


def valid(document: str) -> bool:
    """What the schema says of a document."""
    return bool(SCHEMA.validate(etree.fromstring(document.encode())))


@pytest.mark.parametrize(
    "inside",
    [
        *(
            "<daemon/>",
            "<daemon>0</daemon>",
            "<daemon> 0x10 </daemon>",
            "<weight>1.5e3</weight>",
            "<weight> 2 </weight>",
        ),
        *(
            "<priority>5</priority>",
            "<time_limit>0</time_limit>",
            "<application>a b</application>",
            "<setenv>A=1</setenv>",
        ),
    ],
)
def test_the_schema_accepts(inside: str) -> None:
    """What the stock wrapper understands."""
    assert valid(in_task(inside))


@pytest.mark.parametrize("name", ["a", "./a", "a/b.c", "..a", "a..b", " a ", "", ".hidden", "ab:c", "a/./b", "./../a"])
def test_the_schema_and_names(name: str) -> None:
    """Names of files that stay inside are told from those that do not."""
    assert valid(in_vm(f"<copy_file_to_VM>{name}</copy_file_to_VM>")) is (name != "./../a")


@pytest.mark.parametrize(
    "document",
    [
        in_task("<wieght>2</wieght>"),
        in_task("text"),
        in_task("<weight>much</weight>"),
        in_task("<weight>-1</weight>"),
        in_task("<weight>NaN</weight>"),
        in_task("<weight>INF</weight>"),
        in_task("<daemon>true</daemon>"),
        in_task("<priority>9</priority>"),
        in_task("<priority>high</priority>"),
        in_task("<weight unit='kg'>2</weight>"),
        in_task(f"<command_line>{'x' * 8192}</command_line>"),
        in_vm("<cpus>-1</cpus>"),
        in_vm("<memory_mb>lots</memory_mb>"),
        in_vm("<memory_mb>1</memory_mb>"),
        in_vm("<network>yes</network>"),
        in_vm("<network>2</network>"),
        in_vm("<checkpoint_interval>-1</checkpoint_interval>"),
        *(in_vm(f"<image>{name}</image>") for name in ("/a", "..", "../a", "a/../b", "a/..", "a\\b", "C:a", "a/", ".")),
        in_job("<weight>2</weight>"),
        in_job("<unzip_input><filename>a</filename></unzip_input>"),
        "<job></job>",
        "<job_desc version='1'></job_desc>",
    ],
)
def test_the_schema_refuses(document: str) -> None:
    """What the checker calls an error, as far as a schema can say it."""
    assert not valid(document)


def test_the_schema_explains_each_element() -> None:
    """An editor can show what an element means."""
    root = etree.fromstring(schema.document().encode())
    space = {"xs": "http://www.w3.org/2001/XMLSchema"}
    explained = root.xpath("//xs:element[xs:annotation/xs:documentation]/@name", namespaces=space)
    assert set(explained) >= {*GROUPS, *TASK, *JOB}
