//! Who uses what, as the host tells it.

use std::collections::{BTreeSet, HashSet};

use super::Service;
use super::history::{draft, meant_by, recorded};
use crate::catalog::{Durability, ItemNo, Reader, UsageRow, Writer};
use crate::control::methods::*;
use crate::control::{Reason, RpcError};
use crate::model::{Usage, UsageRole};

/// Uses that are told where an item is protected by them.
pub(super) const PROTECTING: u32 = 20;

impl Service {
    pub(super) fn list_usages(&self, params: &UsagesListParams) -> Result<UsagesPage, RpcError> {
        let limit = params
            .limit
            .unwrap_or(UsagesPage::MOST)
            .clamp(1, UsagesPage::MOST);
        let reader = self.catalog.reader()?;
        let item = match &params.item {
            Some(which) => Some(self.find(&reader, which)?.row),
            None => None,
        };
        let after = params.after.as_ref().map(|after| UsageRow {
            item: ItemNo(after.item),
            usage: Usage {
                project: after.project.clone(),
                role: after.role.clone(),
                target: after.target.clone(),
            },
            at: 0,
        });
        let rows = reader.list_usages(item, params.project.as_deref(), after.as_ref(), limit)?;
        let next = rows
            .last()
            .filter(|_| u32::try_from(rows.len()).unwrap_or(limit) >= limit)
            .map(|row| UsagesAfter {
                item: row.item.0,
                project: row.usage.project.clone(),
                role: row.usage.role.clone(),
                target: row.usage.target.clone(),
            });
        Ok(UsagesPage {
            usages: told(&reader, rows)?,
            next,
        })
    }

    pub(super) fn change_usages(
        &self,
        params: &UsagesParams,
        adds: bool,
    ) -> Result<UsagesAnswer, RpcError> {
        check_count(params.usages.len())?;
        let reader = self.catalog.reader()?;
        let mut wanted = Vec::with_capacity(params.usages.len());
        for usage in &params.usages {
            check(&usage.role)?;
            let item = self.find_used(&reader, &usage.item, &usage.project)?;
            let usage = Usage {
                project: usage.project.clone(),
                role: usage.role.clone(),
                target: usage.target.clone(),
            };
            wanted.push((item, usage));
        }
        let summary = match (adds, wanted.len()) {
            (true, 1) => "recorded a usage".to_owned(),
            (true, count) => format!("recorded {count} usages"),
            (false, 1) => "took a usage off".to_owned(),
            (false, count) => format!("took {count} usages off"),
        };
        let (add, remove) = match adds {
            true => (wanted, Vec::new()),
            false => (Vec::new(), wanted),
        };
        self.write_usages(summary, &params.intent, &add, &remove)
    }

    pub(super) fn set_usages(&self, params: &UsagesSetParams) -> Result<UsagesAnswer, RpcError> {
        check_count(params.usages.len())?;
        let reader = self.catalog.reader()?;
        let mut wanted = HashSet::with_capacity(params.usages.len());
        let mut add = Vec::with_capacity(params.usages.len());
        for usage in &params.usages {
            check(&usage.role)?;
            let item = self.find_used(&reader, &usage.item, &params.project)?;
            let one = (item, usage.role.as_str().to_owned(), usage.target.clone());
            if wanted.insert(one) {
                let usage = Usage {
                    project: params.project.clone(),
                    role: usage.role.clone(),
                    target: usage.target.clone(),
                };
                add.push((item, usage));
            }
        }
        // A copy of the project's folder has the same id, and usages of its own.
        let meant = meant_by(&reader, &params.project)?.map(|base| base.row);
        let mut remove = Vec::new();
        let mut after: Option<UsageRow> = None;
        loop {
            let page = reader.list_usages(
                None,
                Some(&params.project),
                after.as_ref(),
                UsagesPage::MOST,
            )?;
            let Some(last) = page.last().cloned() else {
                break;
            };
            after = Some(last);
            for row in page {
                let one = (
                    row.item,
                    row.usage.role.as_str().to_owned(),
                    row.usage.target.clone(),
                );
                if row.usage.role == UsageRole::Observed || wanted.contains(&one) {
                    continue;
                }
                let scope = reader.item(row.item)?.and_then(|item| item.project);
                if meant.is_none() || scope.is_none() || scope == meant {
                    remove.push((row.item, row.usage));
                }
            }
        }
        let summary = "brought the usages of a project up to date".to_owned();
        self.write_usages(summary, &params.intent, &add, &remove)
    }

    /// The item that a project uses: its own of that id, before those of other scopes.
    fn find_used(&self, reader: &Reader, which: &Which, project: &str) -> Result<ItemNo, RpcError> {
        if let (Some(id), None, None) = (&which.media_id, &which.project_id, &which.path)
            && let Some(base) = meant_by(reader, project)?
            && let Some(own) = reader.item_in_scope(id, Some(base.row))?
        {
            return Ok(own.row);
        }
        Ok(self.find(reader, which)?.row)
    }

    fn write_usages(
        &self,
        summary: String,
        intent: &Intent,
        add: &[(ItemNo, Usage)],
        remove: &[(ItemNo, Usage)],
    ) -> Result<UsagesAnswer, RpcError> {
        let mut draft = draft("usages", summary, intent);
        let mut answer = UsagesAnswer::default();
        let work = |writer: &mut Writer| -> Result<(), RpcError> {
            for (item, usage) in remove {
                answer.removed += u64::from(writer.remove_usage(*item, usage)?);
            }
            for (item, usage) in add {
                answer.added += u64::from(writer.add_usage(*item, usage)?);
            }
            Ok(())
        };
        self.catalog
            .write(Durability::Full, |writer| writer.operate(&mut draft, work))?;
        answer.operation = recorded(&draft);
        let reader = self.catalog.reader()?;
        let named: BTreeSet<&String> = add.iter().map(|(_, usage)| &usage.project).collect();
        for project in named {
            if meant_by(&reader, project)?.is_none() {
                answer.unknown_projects.push(project.clone());
            }
        }
        Ok(answer)
    }

    /// Who uses an item.
    pub(super) fn usages_of(
        &self,
        reader: &Reader,
        item: ItemNo,
        limit: u32,
    ) -> Result<Vec<UsageInfo>, RpcError> {
        let rows = reader.list_usages(Some(item), None, None, limit)?;
        told(reader, rows)
    }
}

/// In words: `track "Drums" of Song`.
pub(super) fn in_words(reader: &Reader, usages: &[UsageInfo]) -> Result<String, RpcError> {
    let bases = reader.bases()?;
    let words = usages.iter().map(|usage| {
        let base = bases.iter().find(|base| {
            base.project
                .as_ref()
                .is_some_and(|id| id.0 == usage.project)
        });
        let project = base.map_or(usage.project.as_str(), |base| base.name.as_str());
        match usage.role {
            UsageRole::Observed => format!("{} in {project}", usage.target),
            _ => format!("{} {:?} of {project}", usage.role, usage.target),
        }
    });
    Ok(words.collect::<Vec<_>>().join(", "))
}

fn told(reader: &Reader, rows: Vec<UsageRow>) -> Result<Vec<UsageInfo>, RpcError> {
    let mut usages = Vec::with_capacity(rows.len());
    for row in rows {
        // One that was removed meanwhile is left out.
        let Some(item) = reader.item(row.item)? else {
            continue;
        };
        usages.push(UsageInfo {
            media_id: item.media_id,
            name: item.name,
            project: row.usage.project,
            role: row.usage.role,
            target: row.usage.target,
            at: row.at,
        });
    }
    Ok(usages)
}

fn check_count(count: usize) -> Result<(), RpcError> {
    if count > UsagesParams::MOST {
        return Err(RpcError::new(
            Reason::InvalidParameter,
            format!(
                "{count} usages are more than a call takes ({})",
                UsagesParams::MOST
            ),
        )
        .remedy("send them in several calls of one group"));
    }
    Ok(())
}

fn check(role: &UsageRole) -> Result<(), RpcError> {
    if *role == UsageRole::Observed {
        return Err(RpcError::new(
            Reason::InvalidParameter,
            "what is observed is recorded by the drive itself",
        ));
    }
    Ok(())
}
