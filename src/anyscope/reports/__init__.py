"""Figures and the self-contained page.

A :class:`~anyscope.reports.page.Page` is a title, a lead and sections of blocks (``blocks.py``, one template each).
``run_report.py`` composes the pages of a training run and of an evaluation from plain data; nothing here reads a file
of a run or knows how one is made.
"""
