"""What the store promises under kills, power cuts, full disks, damage and hostile input, as numbered cases.

`python -m torture --help` runs them; `promise.py` says what a promise is, `promises.py` lists them.
"""
