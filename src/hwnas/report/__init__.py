"""Reads run directories; writes HTML and tables; no torch."""

from hwnas.report.html import render_report, render_summary
from hwnas.report.terminal import result_lines, result_table

__all__ = ["render_report", "render_summary", "result_lines", "result_table"]
