"""Agreements as files: read, checked and explained. Nothing else imports pydantic or PyYAML, and no process that stays
imports this.
"""
