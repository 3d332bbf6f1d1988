"""Settings of the mesh: values that ConfigMaps and annotations hold as text. They are no Kubernetes kinds."""

from meltemi.api.mesh.config import MeshConfig
from meltemi.api.mesh.networks import MeshNetworks, Network
from meltemi.api.mesh.providers import ExtensionProvider
from meltemi.api.mesh.proxy import ProxyConfig

__all__ = ["ExtensionProvider", "MeshConfig", "MeshNetworks", "Network", "ProxyConfig"]
