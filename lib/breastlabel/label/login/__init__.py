"""Who may come in: a login by a file of users or by OpenID Connect, for every address of the server alike."""

from breastlabel.label.login.settings import LOGIN, Login, login_from_environment

__all__ = ["LOGIN", "Login", "login_from_environment"]
