"""Folders that polymod wrote -> one results document."""
