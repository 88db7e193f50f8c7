"""The report: one page that says what was asked, how, what came out, and how to do it again."""
