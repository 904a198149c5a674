"""The self-assessment: which control answers which rule, and which test has shown that it works.

controls.yaml is the map, docs/controls.md the page made from it, `riskgate controls report` the
signed report of a test run. A control is shown by tests that ran and passed, or it is not shown.
"""
