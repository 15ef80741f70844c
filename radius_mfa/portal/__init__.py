"""The web pages where people look after their second factors, and the help desk after people's."""
