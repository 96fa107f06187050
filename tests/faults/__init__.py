"""Fault tests of the journal: what was acknowledged is there, once, in order, whatever breaks in between.

Short forms run with the other tests (test_*.py in here); the long forms by `python -m tests.faults --long` (`make
chaos`), which prints the table of docs/faults.md. All traffic is on loopback, and every fault is one that the test
itself makes: killed back ends, killed processes, cut connections, a killed server, many deciders on one stream.
"""
