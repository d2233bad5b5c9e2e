"""`detector rules test`: the records beside the rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detector.cli.options import ConfigFile
from detector.cli.rule_files import Paths, parsers_of, rules_of, settings_of, sources_of

if TYPE_CHECKING:
    from detector.sigma.testing import Result


def run(
    paths: Paths = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the results to a file, as JUnit's XML.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Run the records in `RULE.test.yml` beside each rule through the parsers and the rule.

    Beside correlations, they are cases: records with times, and the alerts that they must raise.

    Exit code 1: a record fails, or a rule cannot be loaded or has no test.
    """
    from detector.alerts.text import printable
    from detector.correlation.testing import case_results
    from detector.errors import ConfigError
    from detector.sigma.testing import test_results

    settings = settings_of(config)
    rules = rules_of(sources_of(paths, settings), settings)
    parsers = parsers_of(settings)
    results = [*test_results(rules, parsers, settings.limits), *case_results(rules, parsers, settings)]
    failed = [each for each in results if each.message is not None]
    for each in failed:
        print(printable(f"FAILED {each.where}: {f'{each.rule}: ' if each.rule else ''}{each.message}"))
    samples = sum(bool(each.name) for each in results)
    print(f"{len(rules.rules) + len(rules.correlations)} rules, {samples} samples, {len(failed)} failures")
    if junit is not None:
        try:
            junit.write_bytes(_junit(results))
        except OSError as error:
            raise ConfigError(f"--junit {junit}: cannot be written ({error.strerror})") from None
    if failed:
        raise typer.Exit(1)


def _junit(results: Sequence[Result]) -> bytes:
    """A suite for each rule file, a case for each sample; the form is that of Jenkins' junit-10.xsd."""
    from xml.etree import ElementTree as ET

    def counts(some: Sequence[Result]) -> dict[str, str]:
        return {"tests": str(len(some)), "failures": str(sum(each.message is not None for each in some))}

    root = ET.Element("testsuites", {"name": "detector rules test", **counts(results)})
    for path, group in groupby(sorted(results, key=lambda each: each.path), lambda each: each.path):
        suite = list(group)
        element = ET.SubElement(root, "testsuite", {"name": _xml(path), **counts(suite)})
        for each in suite:
            case = ET.SubElement(
                element,
                "testcase",
                classname=_xml(each.rule or path),
                name=each.name or "the rule and its test",
                file=_xml(path),
            )
            if each.message is not None:
                failure = ET.SubElement(case, "failure", message=_xml(each.message))
                failure.text = _xml(f"{each.where}: {each.message}")
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _xml(text: str) -> str:
    """The text in characters that XML allows."""
    from detector.alerts.text import printable

    return printable(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
