"""`detector rules`: check the rules, test them, list them."""

from __future__ import annotations

import typer

from detector.cli import rules_check, rules_explain
from detector.cli.options import ConfigFile
from detector.cli.rule_files import Paths, parsers_of, rules_of, settings_of, sources_of

app = typer.Typer(help="Check, test and list the rules.", no_args_is_help=True, rich_markup_mode=None)

app.command()(rules_check.check)
app.command()(rules_explain.explain)


@app.command(name="test")
def run(paths: Paths = None, config: ConfigFile = None) -> None:
    """Run the records in `RULE.test.yml` beside each rule through the parsers and the rule."""
    from detector.alerts.text import printable
    from detector.sigma.testing import run_tests

    settings = settings_of(config)
    rules = rules_of(sources_of(paths, settings), settings)
    samples, failures = run_tests(rules, parsers_of(settings), settings.limits)
    for failure in failures:
        print(printable(f"FAILED {failure.where}: {f'{failure.rule}: ' if failure.rule else ''}{failure.message}"))
    print(f"{len(rules.rules)} rules, {samples} samples, {len(failures)} failures")
    if failures:
        raise typer.Exit(1)


@app.command(name="list")
def list_rules(paths: Paths = None, config: ConfigFile = None) -> None:
    """Print level, log source, ATT&CK techniques, title and key of each rule, and what cannot be loaded."""
    from detector.alerts.text import printable

    settings = settings_of(config)
    rules = rules_of(sources_of(paths, settings), settings)
    for rule in sorted(rules.rules, key=lambda rule: (repr(rule.logsource), -rule.level.severity, rule.title)):
        logsource = "/".join(
            part or "-" for part in (rule.logsource.category, rule.logsource.product, rule.logsource.service)
        )
        techniques = ",".join(rule.techniques) or "-"
        print(printable(f"{rule.level.value:13} {logsource:28} {techniques:22} {rule.title}  [{rule.key}]"))
    for error in rules.refused:
        typer.echo(printable(f"cannot be loaded: {error}"), err=True)
    if rules.refused:
        raise typer.Exit(rules.refused[0].exit_code)
