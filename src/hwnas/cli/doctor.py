"""`hwnas doctor`: what this machine has."""

from __future__ import annotations

import typer

from hwnas.cli import options as o


def doctor(as_json: o.AsJson = False) -> None:
    """Look at everything that hwnas uses, by using it, and say how to get what is missing.

    hwnas doctor

    Exit code 4 if something is missing that hwnas cannot do without.
    """
    from hwnas import api
    from hwnas.cli.terminal import print_json, show_text

    findings = api.doctor()
    missing = any(finding.status == "missing" for finding in findings)
    if as_json:
        print_json({"ok": not missing, "findings": [finding.to_json() for finding in findings]})
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            remedy = f". {finding.remedy[0].upper()}{finding.remedy[1:]}" if finding.remedy else ""
            show_text(f"{finding.status:<7}  {finding.name:<{width}}  {finding.found}{remedy}")
    raise typer.Exit(4 if missing else 0)
