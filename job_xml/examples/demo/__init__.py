"""The demo behind ``make demo``: a real physics job goes from job.xml to its results, and every phase is shown.

It is a user of VM Controller like any other: it starts the console programs and reads what they print.
Of the project it imports nothing.
"""
