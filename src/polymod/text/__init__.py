"""Text files -> documents -> tokenizer and token shards. Nothing here imports torch.

In the order of the data: ``inventory`` (which files), ``streams`` and ``parquet`` (their bytes), ``records``
(lines), ``corpus`` (documents), ``reading`` (the unit of work) and ``parts`` (what it writes), ``dedup``,
``split``, ``training`` and ``tokenizer``, ``encode``, ``finish``. ``pipeline`` runs them in ``workers``,
``shards`` reads the result, ``check`` says what is wrong.
"""
