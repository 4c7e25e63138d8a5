from __future__ import annotations

from whizbang.projections.declaration import DELETE
from whizbang.projections.free import Projection


class ModelProjection(Projection):
    abstract = True
    model = None
    key_field = None

    @property
    def is_rebuildable(self):
        return True

    def _keys(self, e, m, by):
        if callable(by):
            k = by(e, m)
            return list(k) if isinstance(k, (list, tuple, set)) else [k]
        return [getattr(e, by)]

    def _fold(self, events, rows):
        kf = self.key_field or self.model._meta.pk.attname
        for e, m in events:
            for name, by in self._on.get(type(e), ()):
                for k in self._keys(e, m, by):
                    row = rows.get(k)
                    if row is None:
                        row = rows[k] = self.model(**{kf: k})
                    if getattr(self, name)(row, e, m) is DELETE:
                        rows[k] = None

    def apply_batch(self, events, *, using):
        kf = self.key_field or self.model._meta.pk.attname
        keys = {
            k
            for e, m in events
            for n, by in self._on.get(type(e), ())
            for k in self._keys(e, m, by)
        }
        mgr = self.model._default_manager.using(using)
        rows = {getattr(r, kf): r for r in mgr.filter(**{f"{kf}__in": list(keys)})}
        self._fold(events, rows)
        for k in [k for k, r in rows.items() if r is None]:
            mgr.filter(**{kf: k}).delete()
        fields = [
            f.name
            for f in self.model._meta.concrete_fields
            if not f.primary_key and f.attname != kf
        ]
        mgr.bulk_create(
            [r for r in rows.values() if r is not None],
            update_conflicts=True,
            unique_fields=[kf],
            update_fields=fields,
        )

    def fold_all(self, events, *, using):
        rows = {}
        self._fold(events, rows)
        return rows

    def replace_all(self, rows, *, using):
        mgr = self.model._default_manager.using(using)
        mgr.all().delete()
        mgr.bulk_create([r for r in rows.values() if r is not None], batch_size=1000)
