"""Governing: who is a party, who owns which dataset, who permitted what, whose cargo a paper is. See docs/govern.md."""
