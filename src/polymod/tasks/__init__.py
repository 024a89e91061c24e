"""Tasks: read, encode, score; fine-tuning and transfer on top of them.

``task`` has the table of tasks, ``find`` their files, ``lines`` the strict reading of these. A task says how
its examples are read (``nli``, ``tagged``, ``squad``), how they become sequences, all of them ``encoded``
(``nli``, ``words``, ``spans``), and how they are scored, from ``totals`` (``nli``, ``ner``, ``pos``, ``qa``).
``bootstrap`` says how certain a score is, ``signature`` what it was measured on. None of these imports torch.
"""
