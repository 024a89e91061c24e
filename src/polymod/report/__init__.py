"""One offline HTML page from a results document (``page``); learning curves from a run (``curves``)."""
