"""Write the generated pages anew: `python -m tests.docs`."""

from __future__ import annotations

from tests.docs.pages import PAGES

for path, render in PAGES.items():
    path.write_text(render())
    print(f"wrote docs/{path.name}")
