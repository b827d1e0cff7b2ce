"""What the tests of the documentation share."""

#: Projects as the published template makes them; their tests are run in the projects.
collect_ignore = ["starter", "template"]
