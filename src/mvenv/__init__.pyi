from mvenv.integrations.venv import EnvBuilder as EnvBuilder
from mvenv.integrations.venv import create as create

__version__: str
