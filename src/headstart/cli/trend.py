"""`headstart trend`: the champions of the last year on the test images of today."""

import argparse
from pathlib import Path

from headstart.cli.commands import MODEL, VERSIONS, Commands, add_json
from headstart.cli.entering import checked_params, enter_with, report
from headstart.ground import paths


def add_to(commands: Commands) -> None:
    """Add trend."""
    trend = commands.add(
        VERSIONS,
        "trend",
        "score the champions of the last year on today's test images",
        _trend,
        about="Only images count that none of them was trained on; it says how many are left. Aliases and "
        "versions stay as they are.",
        example="headstart trend headstart --days 90",
    )
    trend.add_argument("model", nargs="?", metavar="MODEL", help="a name; default: register.model")
    trend.add_argument("--images", metavar="VERSION", help=f"whose test images: {MODEL}; default: the newest")
    trend.add_argument("--days", type=float, default=365, help="how far back, default: 365")
    trend.add_argument("--html", type=Path, metavar="FILE", help=f"default: {paths.TREND}")
    add_json(trend)


def _trend(chosen: argparse.Namespace) -> None:
    [page_path] = enter_with(str(chosen.html or ""))
    from headstart.cli.json_output import print_result
    from headstart.ground.files import write_text
    from headstart.versions.monitoring import trend, trend_page

    name = chosen.model or checked_params().register_.model
    found = trend.trend(name, chosen.images, chosen.days, report)
    path = Path(page_path) if chosen.html else paths.TREND
    write_text(path, trend_page.as_html(found))
    print_result(chosen.json, found.to_dict, lambda: f"{trend_page.as_text(found)}\n\nPage: {path}")
