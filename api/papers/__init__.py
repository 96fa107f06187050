"""Statements on paper: PDF, XLSX, CSV of what was issued. The document itself is JSON (domain/statement.py)."""
