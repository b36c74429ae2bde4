"""The demo of the controls: a scenario edited live, a model exchanged under load, an experiment."""
