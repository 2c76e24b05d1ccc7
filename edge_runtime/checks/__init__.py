"""Answers that the cloud looks at afterwards, when no frame needs the link."""
