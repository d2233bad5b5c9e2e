"""`detector rules`: check the rules, test, explain, measure, list them."""

from __future__ import annotations

import typer

from detector.cli import rules_bench, rules_check, rules_explain, rules_list, rules_test

app = typer.Typer(help="Check, test, explain, measure and list the rules.", no_args_is_help=True, rich_markup_mode=None)

app.command()(rules_check.check)
app.command(name="test")(rules_test.run)
app.command()(rules_explain.explain)
app.command()(rules_bench.bench)
app.command(name="list")(rules_list.list_rules)
