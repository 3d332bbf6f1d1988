"""The pure floor of Galley: text to documents, documents to objects, objects to facts, findings to text."""
