from headstart.api.model import Model as Model
from headstart.api.model import load as load
from headstart.api.project import Project as Project
from headstart.api.report import Report as Report
from headstart.errors import HeadstartError as HeadstartError

__version__: str
__all__ = ["HeadstartError", "Model", "Project", "Report", "__version__", "load"]
