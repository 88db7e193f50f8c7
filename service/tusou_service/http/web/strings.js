// The texts of the page, in Chinese and in English.

const zh = {
  skip: "跳到搜索结果", siteNav: "站点导航", api: "API 文档", otherLanguage: "English",
  otherLanguageLabel: "Switch to English", searchLabel: "搜索商品图片",
  headline: "一句话或一张图，找到商品", tagline: "在商品图片中找到你想要的那一件",
  queryLabel: "搜索内容", queryHint: "例如：红色碎花吊带裙", queryHintMore: "可补充描述，例如：要红色的",
  pickImage: "用图片搜索", search: "搜索",
  weightText: "偏文字", weightImage: "偏图片", weightLabel: "文字与图片的权重",
  weightValue: (n) => `图片占 ${n}%`,
  startHint: "也可以粘贴、拖入或选择一张图片。试试：", startHintText: "试试：",
  samples: ["红色碎花吊带裙", "蓝色条纹马克杯", "白色运动鞋", "北欧风落地灯", "碎花以外的连衣裙"],
  resultsLabel: "搜索结果", gridLabel: "商品图片", more: "加载更多", dropHere: "松开鼠标，用这张图片搜索",
  viewerLabel: "大图", close: "关闭", remove: (what) => `移除：${what}`,
  uploaded: "上传的图片", likeItem: (id) => `与 ${id} 相似`, lessItem: (id) => `减少与 ${id} 类似的`,
  item: (id) => `商品 ${id}`, enlarge: (id) => `查看大图：商品 ${id}`, score: (s) => `相似度 ${s}`,
  like: "找相似", less: "减少类似",
  likeLabel: (id) => `查找与 ${id} 相似的商品`, lessLabel: (id) => `减少与 ${id} 类似的商品`,
  noImage: "图片无法显示",
  searching: "正在搜索…", loadingMore: "正在加载…", imagesLoading: "首次用图片搜索，正在加载图像模型，请稍候…",
  shown: (n, total) => `前 ${n} 件，共 ${total} 件`,
  took: (ms) => `${ms} 毫秒`, version: (v) => `索引 ${v}`, none: "没有可显示的商品。",
  pool: (n) => `共 ${n} 件商品`,
  allShown: (n) => `已显示全部 ${n} 件。`, farEnough: (n) => `已显示前 ${n} 件，如未找到，请换个说法。`,
  understood: (yes, no) => `已理解为：要“${yes}”，不要“${no}”。`, literal: "按原文搜索",
  isLiteral: "正在按原文搜索，未处理“不要”等否定说法。", interpret: "识别否定说法",
  truncated: "这句话太长，超出的部分没有参与搜索。",
  changed: "索引刚刚更新，后续结果与已显示的不一致。", renew: "用新索引重新搜索",
  lostImage: "此链接的查询包含一张上传的图片。链接不保存图片，请重新上传。",
  lostRest: "以下结果只按其余条件搜索。",
  unshared: "上传的图片仅在本页有效，分享链接时不会包含图片。",
  noImages: "此服务未开启以图搜索。", notImage: "没有识别到图片文件。",
  retryIn: (s) => `${s} 秒后自动重试`, retry: "立即重试", keyLabel: "访问密钥", keySend: "确定",
  keyNote: "密钥只保存在当前标签页。", requestId: (id) => `请求编号 ${id}`, status: (n) => `状态码 ${n}`,
  codes: {
    network: ["无法连接服务", "请检查网络。"],
    overloaded: ["服务繁忙", "当前请求较多，请稍候。"],
    rate_limited: ["请求过于频繁", "请稍候再搜索。"],
    not_ready: ["服务正在启动", "索引尚在加载，请稍候。"],
    unavailable: ["服务暂不可用", "请稍后再试。"],
    deadline_exceeded: ["搜索超时", "服务未能在时限内完成搜索。"],
    request_timeout: ["上传超时", "请求未能及时送达，请重试。"],
    unauthorized: ["需要访问密钥", "请输入服务管理员提供的密钥。"],
    forbidden: ["密钥没有搜索权限", "请输入有 search 权限的密钥。"],
    empty_query: ["请输入搜索内容", "输入文字，或上传一张图片。"],
    query_too_long: ["查询过长", "最多 512 个字符，请缩短后重试。"],
    bad_image: ["无法识别这张图片", "请换一张 JPEG、PNG 或 WebP 图片。"],
    unknown_item: ["商品不存在", "该商品可能已不在当前索引中。"],
    no_image: ["没有图片", "此处搜索的是文字。"],
    body_too_large: ["图片过大", "请换一张较小的图片。"],
    invalid_request: ["请求无效", "链接中有条件不正确，请修改后再搜索。"],
    invalid_json: ["请求无效", "无法解析请求内容。"],
    invalid_input: ["内容无效", "请换个说法再试。"],
    unsupported_media_type: ["不支持的格式", "请换一张 JPEG、PNG 或 WebP 图片。"],
    internal: ["服务内部错误", "问题出在服务端，详情已写入日志。"],
    not_found: ["地址不存在", "页面可能已过期，请刷新。"],
    method_not_allowed: ["不支持此操作", "页面可能已过期，请刷新。"],
    bad_http: ["不接受此主机名", "请使用管理员提供的地址访问。"],
    uri_too_long: ["链接过长", "请缩短查询内容。"],
    headers_too_large: ["请求头过大", "请清除本站的浏览数据后重试。"],
    artifact_error: ["索引不可用", "详情见服务端日志。"],
    out_of_memory: ["内存不足", "服务端内存暂时不足，请稍后再试。"],
    insufficient_memory: ["内存不足", "服务端放不下新索引，仍在使用原索引。"],
    corrupt_bundle: ["索引已损坏", "详情见服务端日志。"],
    incompatible_bundle: ["索引与模型不匹配", "需要在服务端重新建立索引。"],
    other: ["出错了", "请重试；如仍有问题，请联系管理员。"],
  },
  texts: { // replaces the above where the items are texts
    searchLabel: "以图搜文", headline: "上传图片，搜索描述它的文字", tagline: "也可以用文字搜索文字",
    queryHint: "或输入文字", startHint: "粘贴、拖入或选择一张图片，也可以输入文字：",
    gridLabel: "文字", viewerLabel: "全文", noImage: "文字无法显示", none: "没有可显示的文字。",
    item: (id) => `文字 ${id}`, enlarge: (id) => `查看全文：${id}`,
    likeLabel: (id) => `查找与 ${id} 相似的文字`, lessLabel: (id) => `减少与 ${id} 类似的文字`,
    shown: (n, total) => `前 ${n} 条，共 ${total} 条`, pool: (n) => `共 ${n} 条文字`,
    allShown: (n) => `已显示全部 ${n} 条。`, farEnough: (n) => `已显示前 ${n} 条，如未找到，请换个说法。`,
  },
};

const en = {
  skip: "Skip to results", siteNav: "Site", api: "API", otherLanguage: "中文",
  otherLanguageLabel: "切换到中文", searchLabel: "Search product images",
  headline: "Search with words or an image", tagline: "Find the item you want among the product images",
  queryLabel: "Search query", queryHint: "In Chinese, e.g. 红色碎花吊带裙",
  queryHintMore: "Add a description, e.g. 要红色的",
  pickImage: "Search with an image", search: "Search",
  weightText: "Text", weightImage: "Image", weightLabel: "Weight of text and image",
  weightValue: (n) => `image ${n}%`,
  startHint: "Or paste, drop or choose an image. Try:", startHintText: "Try:", samples: zh.samples,
  resultsLabel: "Results", gridLabel: "Product images", more: "More results",
  dropHere: "Drop to search with this image",
  viewerLabel: "Large image", close: "Close", remove: (what) => `Remove ${what}`,
  uploaded: "uploaded image", likeItem: (id) => `similar to ${id}`, lessItem: (id) => `less like ${id}`,
  item: (id) => `Item ${id}`, enlarge: (id) => `Enlarge item ${id}`, score: (s) => `similarity ${s}`,
  like: "More like this", less: "Less like this",
  likeLabel: (id) => `More like this: ${id}`, lessLabel: (id) => `Less like this: ${id}`,
  noImage: "Image not available",
  searching: "Searching…", loadingMore: "Loading…",
  imagesLoading: "First image search: loading the image model, please wait…",
  shown: (n, total) => `Top ${n} of ${total}`,
  took: (ms) => `${ms} ms`, version: (v) => `index ${v}`, none: "No items to show.",
  pool: (n) => `${n} items`,
  allShown: (n) => `All ${n} items are shown.`, farEnough: (n) => `Top ${n} items shown; try other words.`,
  understood: (yes, no) => `Understood as: “${yes}”, without “${no}”.`, literal: "Search the exact text",
  isLiteral: "Searching the exact text; negations are not interpreted.", interpret: "Interpret negations",
  truncated: "The query is too long; its end was ignored.",
  changed: "The index was just updated; more results would not continue these.", renew: "Search the new index",
  lostImage: "This link's query includes an uploaded image. Links do not store images; please upload it again.",
  lostRest: "The results below use the rest of the query.",
  unshared: "The uploaded image stays on this page; a shared link does not include it.",
  noImages: "Image search is off on this service.", notImage: "No image file was found.",
  retryIn: (s) => `Retrying in ${s} s`, retry: "Retry now", keyLabel: "API key", keySend: "OK",
  keyNote: "The key is kept in this tab only.", requestId: (id) => `request ${id}`, status: (n) => `status ${n}`,
  codes: {
    network: ["Cannot reach the service", "Check the network."],
    overloaded: ["The service is busy", "Please wait a moment."],
    rate_limited: ["Too many requests", "Wait a moment before searching again."],
    not_ready: ["The service is starting", "The index is still loading; please wait."],
    unavailable: ["Service unavailable", "Try again later."],
    deadline_exceeded: ["Search timed out", "The service did not finish in time."],
    request_timeout: ["Upload timed out", "The request did not arrive in time; try again."],
    unauthorized: ["API key required", "Enter the key from your administrator."],
    forbidden: ["The key may not search", "Enter a key with the scope “search”."],
    empty_query: ["Nothing to search for", "Enter some words, or upload an image."],
    query_too_long: ["Query too long", "At most 512 characters; shorten it and try again."],
    bad_image: ["Cannot read this image", "Try another JPEG, PNG or WebP image."],
    unknown_item: ["No such item", "It may no longer be in the index."],
    no_image: ["No image", "The items of this index are texts."],
    body_too_large: ["Image too large", "Try a smaller image."],
    invalid_request: ["Invalid request", "Part of the link is wrong; change it and search again."],
    invalid_json: ["Invalid request", "The request could not be parsed."],
    invalid_input: ["Invalid input", "Try other words."],
    unsupported_media_type: ["Unsupported format", "Try another JPEG, PNG or WebP image."],
    internal: ["Internal error", "The service failed; its log has the details."],
    not_found: ["Address not found", "Page and service may differ in version; reload."],
    method_not_allowed: ["Action not supported", "Page and service may differ in version; reload."],
    bad_http: ["Host name not accepted", "Use the address from your administrator."],
    uri_too_long: ["Link too long", "Shorten the query."],
    headers_too_large: ["Request headers too large", "Clear this site's browsing data and try again."],
    artifact_error: ["Index not usable", "See the server's log."],
    out_of_memory: ["Out of memory", "Try again later."],
    insufficient_memory: ["Out of memory", "The new index does not fit; the old one is still in use."],
    corrupt_bundle: ["Index damaged", "See the server's log."],
    incompatible_bundle: ["Index and model do not match", "The index has to be built again on the server."],
    other: ["Something went wrong", "Try again, or contact the administrator."],
  },
  texts: {
    searchLabel: "Search texts with an image", headline: "Find texts with an image",
    tagline: "Or search texts with text",
    queryHint: "Or type, in Chinese", startHint: "Paste, drop or choose an image, or type:",
    gridLabel: "Texts", viewerLabel: "Full text", noImage: "Text not available", none: "No texts to show.",
    item: (id) => `Text ${id}`, enlarge: (id) => `Full text ${id}`,
    pool: (n) => `${n} texts`,
    allShown: (n) => `All ${n} texts are shown.`, farEnough: (n) => `Top ${n} texts shown; try other words.`,
  },
};

const STORAGE = "tusou.language";
const languages = { zh, en };
let language = "zh";
try {
  if (localStorage.getItem(STORAGE) === "en") language = "en";
} catch { /* storage is off: the choice lasts as long as the page */ }

let items = "images";

export function setItemKind(kind) {
  items = kind;
}

export function strings() {
  const all = languages[language];
  return items === "texts" ? { ...all, ...all.texts } : all;
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(STORAGE, language);
  } catch { /* as above */ }
}

// Fills every element that names a string in a data attribute.
export function translatePage(root) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = strings()[element.dataset.text];
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", strings()[element.dataset.label]);
  for (const element of root.querySelectorAll("[data-title]")) element.title = strings()[element.dataset.title];
  for (const element of root.querySelectorAll("[data-hint]")) element.placeholder = strings()[element.dataset.hint];
}
