"""Shows the results of a search without judging them: a page of queries with their items."""
