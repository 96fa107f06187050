"""What somebody was permitted to see of what an export is made of, and whether he still is: pure."""

from collections.abc import Collection

import msgspec

from projections.rights import View


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a view as an export rests on: of the datasets that are in it."""

    parties: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    fields: dict[str, tuple[str, ...]] = {}  # the only ones that were shown of what was seen in whole
    masked: tuple[str, ...] = ()

    @classmethod
    def of(cls, view: View, datasets: Collection[str]) -> "Rights":
        """What the view lets see of these datasets."""
        return cls(
            parties=view.parties,
            own=tuple(name for name in view.own if name in datasets),
            whole=tuple(name for name in view.whole if name in datasets),
            fields={name: fields for name, fields in view.fields if name in datasets},
            masked=view.masked,
        )

    def still_held(self, view: View) -> bool:
        """Everything that was shown then may be shown now."""
        return (
            set(self.whole) <= set(view.whole)
            and set(self.own) <= {*view.own, *view.whole}
            and (not self.own or set(self.parties) <= set(view.parties))
            and set(view.masked) <= set(self.masked)
            and all(self._fits(name, set(fields)) for name, fields in view.fields if name in self.whole)
        )

    def _fits(self, dataset: str, allowed: set[str]) -> bool:
        """`allowed`: the only fields that may be shown now. All were shown if none was named then."""
        return dataset in self.fields and set(self.fields[dataset]) <= allowed
