"""A small vision language model that grades drawn products, trained in minutes on two cores."""
