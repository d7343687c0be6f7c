"""The steps of a build, from weights to a verified deploy folder."""
