"""What a user's module imports: declarations, handles on other predictors, and what is at hand inside a run.

The package itself can be called: `from matinee import predictor` finds this package, because Python binds a sub-package
to its name in the parent, and people mean the function `predictor(name)`.
"""
