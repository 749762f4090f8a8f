"""Published datasets by name: what is known of them, how they are fetched, and how they become dataset folders."""

from anyscope.datasets.catalog.bbbc import BBBC006, BBBC006_DEFOCUS, BBBC039
from anyscope.datasets.catalog.casser import KASTHURI_PP, LUCCHI_PP
from anyscope.datasets.catalog.dsb2018 import DSB2018, DSB2018_FIXED, DSB2018_STARDIST
from anyscope.datasets.catalog.entry import CatalogEntry, SourceFile
from anyscope.datasets.catalog.isbi2012 import ISBI2012
from anyscope.datasets.catalog.lucchi import LUCCHI
from anyscope.datasets.catalog.mitoem import MITOEM_H, MITOEM_R
from anyscope.datasets.catalog.organelles import ER, MITO
from anyscope.datasets.catalog.published import Published
from anyscope.datasets.catalog.snemi3d import SNEMI3D
from anyscope.datasets.catalog.vnc import VNC
from anyscope.registry import Registry

CATALOG: Registry[CatalogEntry] = Registry("dataset")
for _entry in (
    LUCCHI_PP,
    LUCCHI,
    KASTHURI_PP,
    VNC,
    SNEMI3D,
    MITOEM_R,
    MITOEM_H,
    ISBI2012,
    DSB2018,
    DSB2018_FIXED,
    DSB2018_STARDIST,
    BBBC039,
    BBBC006,
    BBBC006_DEFOCUS,
    ER,
    MITO,
):
    CATALOG.add(_entry.name, _entry)

__all__ = ["CATALOG", "CatalogEntry", "Published", "SourceFile"]
