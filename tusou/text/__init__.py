"""Query text: normalisation, prompts and negation."""
