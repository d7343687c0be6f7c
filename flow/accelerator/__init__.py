"""The accelerator (`gatefold_top`): its source files, its simulation model, and a host that drives the model."""
