"""What the register's words are called, in Chinese and in English."""

from domain.disclosure import CLASSES, DISCLOSURES, SHARE_TYPES

Pair = tuple[str, str]

FACTS: dict[str, Pair] = {
    "party.registered": ("登记", "registered"),
    "party.renamed": ("更名", "renamed"),
    "party.suspended": ("暂停", "suspended"),
    "party.resumed": ("恢复", "resumed"),
    "party.user_appointed": ("任命用户", "user appointed"),
    "party.user_dismissed": ("解除用户", "user dismissed"),
    "party.user_suspended": ("停用用户", "user suspended"),
    "party.user_resumed": ("恢复用户", "user resumed"),
    "party.credential_revoked": ("吊销凭证", "credential revoked"),
    "party.agent_appointed": ("委托代理", "agent appointed"),
    "party.agent_dismissed": ("解除代理", "agent dismissed"),
    "party.support_allowed": ("授权客服协助", "support allowed"),
    "party.support_ended": ("结束客服协助", "support ended"),
    "dataset.owner_set": ("确定数源部门", "owner set"),
    "dataset.disclosure_set": ("确定公开范围", "disclosure set"),
    "dataset.classified": ("定级", "classified"),
    "dataset.share_type_set": ("确定共享类型", "share type set"),
    "permission.requested": ("申请", "requested"),
    "permission.opinion_asked": ("征求意见", "opinions asked"),
    "permission.opinion_given": ("反馈意见", "opinion given"),
    "permission.granted": ("批准", "granted"),
    "permission.declined": ("不予批准", "declined"),
    "permission.suspended": ("暂停", "suspended"),
    "permission.resumed": ("恢复", "resumed"),
    "permission.revoked": ("撤销", "revoked"),
    "agreement.proposed": ("提议", "proposed"),
    "agreement.accepted": ("同意", "accepted"),
    "agreement.ended": ("终止", "ended"),
}
"""By the tag of a fact."""
UNSET: Pair = ("未定", "not set")


DATASETS: dict[str, Pair] = {**DISCLOSURES, **CLASSES, **SHARE_TYPES}  # type: ignore[dict-item]  # keys of three lists


def of_dataset(word: str) -> Pair:
    """A disclosure, class or share type; "" is not set."""
    return DATASETS.get(word, UNSET)
