"""Tasks: read, encode, score; fine-tuning and transfer on top of them.

``task`` holds the table of tasks, ``find`` their files, ``lines`` the strict reading of these. A task is made of an
example and how it is read (``nli``, ``tagged``, ``squad``), how it becomes sequences (``nli``, ``words``,
``spans``, all of them ``encoded``) and how it is scored (``nli``, ``ner``, ``pos``, ``qa``). ``bootstrap`` says how certain
a score is, ``signature`` what it was measured on. None of these imports torch.
"""
