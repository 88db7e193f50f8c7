"""Quality checks of datasets: images, queries, and what links them."""
