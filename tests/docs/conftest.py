"""What the tests of the documentation share."""

#: A project as the published template makes it; its tests are run where the tutorial runs them.
collect_ignore = ["starter"]
